-- CreateIndex
CREATE UNIQUE INDEX "User_email_key" ON "User"("email");

-- AlterEnum
ALTER TYPE "Role" ADD VALUE 'OWNER';
